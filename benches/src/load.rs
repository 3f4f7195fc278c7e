//! Load: a fixed number of equal requests, some in flight at any time, on some connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::task::JoinSet;

use crate::Failure;
use crate::client::Connection;
use crate::process;
use crate::statistics::percentile;

/// What is sent, and what must come back.
#[derive(Clone)]
pub struct Work {
    /// Where to.
    pub path: String,
    /// What.
    pub body: Bytes,
    /// The bytes that every answer's body has.
    pub answer_length: usize,
}

/// What one round has shown.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Answers per second.
    pub rate: f64,
    /// The server's processor time for one request.
    pub server_time: Duration,
    /// The part of the round in which the server ran, 1 being all of it.
    pub server_busy: f64,
    /// The middle latency.
    pub p50: Duration,
    /// The latency that one request of a hundred exceeds.
    pub p99: Duration,
}

/// Sends `requests` requests, `in_flight` at a time, spread over the connections, to the server with the process id
/// `server`.
///
/// # Errors
/// When a connection fails, or an answer is not the one that is wanted.
pub async fn round(
    connections: &[Connection],
    work: &Work,
    in_flight: usize,
    requests: usize,
    server: u32,
) -> Result<Round, Failure> {
    let left = Arc::new(AtomicUsize::new(requests));
    let mut lanes = JoinSet::new();
    let used_before = process::processor_time(server)?;
    let started = Instant::now();
    for lane in 0..in_flight {
        let connection = connections[lane % connections.len()].clone();
        lanes.spawn(one_after_another(connection, work.clone(), Arc::clone(&left)));
    }
    let mut latencies = Vec::with_capacity(requests);
    while let Some(lane) = lanes.join_next().await {
        latencies.extend(lane??);
    }
    let elapsed = started.elapsed();
    let used = process::processor_time(server)?.saturating_sub(used_before);
    let answered = u32::try_from(latencies.len())?;
    Ok(Round {
        rate: f64::from(answered) / elapsed.as_secs_f64(),
        server_time: used / answered,
        server_busy: used.as_secs_f64() / elapsed.as_secs_f64(),
        p50: percentile(&mut latencies, 50).ok_or("a round without requests")?,
        p99: percentile(&mut latencies, 99).ok_or("a round without requests")?,
    })
}

async fn one_after_another(
    mut connection: Connection,
    work: Work,
    left: Arc<AtomicUsize>,
) -> Result<Vec<Duration>, Failure> {
    let mut latencies = Vec::new();
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let sent = Instant::now();
        let (status, body) = connection.call(Method::POST, &work.path, work.body.clone()).await?;
        latencies.push(sent.elapsed());
        if status != StatusCode::CREATED || body.len() != work.answer_length {
            let (found, wanted) = (body.len(), work.answer_length);
            return Err(format!("wanted 201 with {wanted} bytes, found {status} with {found}").into());
        }
    }
    Ok(latencies)
}
