use std::future::poll_fn;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

/// A connection that writes each of `lines` by itself, flushing after each, and then shuts down.
fn writer<'l>(
    mut stream: Gathering<DuplexStream>,
    lines: &'l [Vec<u8>],
) -> Pin<Box<dyn Future<Output = io::Result<()>> + 'l>> {
    Box::pin(async move {
        for line in lines {
            stream.write_all(line).await?;
            stream.flush().await?;
        }
        stream.shutdown().await
    })
}

#[tokio::test]
async fn everything_arrives_in_order_however_slowly_it_is_taken() {
    let lines: Vec<Vec<u8>> = (0..200_usize).map(|number| vec![number as u8; 1 + number * 7]).collect();
    for room in [1, 1_000, 1 << 20] {
        let (ours, mut theirs) = duplex(room);
        let driven = Gathering::new(ours).drive(|stream| writer(stream, &lines));
        let mut read = Vec::new();
        let (written, arrived) = tokio::join!(driven, theirs.read_to_end(&mut read));
        written.expect("the peer reads");
        arrived.expect("the stream is shut down");
        assert!(read == lines.concat(), "through {room} bytes");
    }
}

#[tokio::test]
async fn nothing_is_sent_before_the_connection_pauses_and_all_of_it_then() {
    let (ours, mut theirs) = duplex(1 << 20);
    let driven = Gathering::new(ours).drive(|mut stream| {
        Box::pin(async move {
            stream.write_all(b"one ").await?;
            stream.flush().await?;
            let slices = [io::IoSlice::new(b"two "), io::IoSlice::new(b"three")];
            assert_eq!(stream.write_vectored(&slices).await?, 9);
            std::future::pending::<io::Result<()>>().await
        })
    });
    let mut driven = std::pin::pin!(driven);
    let mut room = [0; 64];
    let mut read = async || {
        tokio::select! {
            biased;
            outcome = &mut driven => panic!("it never ends: {outcome:?}"),
            read = theirs.read(&mut room) => room[..read.expect("open")].to_vec(),
        }
    };
    assert_eq!(read().await, b"one two three");
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_not_written_for_without_end() {
    let (ours, _theirs) = duplex(10);
    let channel = Gathering::new(ours);
    let shared = channel.0.clone();
    let mut driven = channel.drive(|mut stream| {
        Box::pin(async move {
            let written: io::Result<()> = loop {
                if let Err(error) = stream.write_all(&[b'x'; 1_000]).await {
                    break Err(error);
                }
            };
            written
        })
    });
    for _ in 0..10 {
        poll_fn(|context| {
            assert!(Pin::new(&mut driven).poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    assert!(shared.lock().buffer.len() < FULL + 1_000);
}

#[tokio::test]
async fn a_peer_that_is_gone_ends_the_connection() {
    let (ours, theirs) = duplex(10);
    drop(theirs);
    let driven = Gathering::new(ours).drive(|mut stream| {
        Box::pin(async move {
            stream.write_all(b"hello").await?;
            std::future::pending::<io::Result<()>>().await
        })
    });
    assert_eq!(driven.await.expect_err("nobody is there").kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn the_buffer_goes_back_empty_of_what_was_in_it() {
    let (ours, _theirs) = duplex(1_000);
    let mut channel = Channel { stream: ours, buffer: Vec::new(), sent: 0, writes: 0 };
    channel.gather([b"a secret".as_slice()].into_iter());
    poll_fn(|context| channel.poll_send(context)).await.expect("there is room");
    assert_eq!(channel.buffer.capacity(), 0);
    let mut spare = SPARE.take();
    assert!(spare.is_empty() && spare.capacity() >= 8);
    spare.resize(8, 0);
    assert_eq!(spare, [0; 8]);
}
