//! The head of every result: when, on what, and how it was started.

use comfy_table::{Table, presets};
use tokenward_tokens::Clock;

/// Day, processor, kernel, load and command line, one line each.
pub fn heading(program: &str) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cores = cores(&read("/proc/cpuinfo"));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments = arguments.join(" ");
    let separator = if arguments.is_empty() { "" } else { " -- " };
    format!(
        "date:    {:.0}\nmachine: {}, {cores} cores, {}\nload:    {} before the run\ncommand: cargo run --release -p tokenward-benches --bin {program}{separator}{arguments}\n{}",
        Clock::system().now(),
        processor(&read("/proc/cpuinfo")),
        kernel(&read("/proc/version")),
        load(&read("/proc/loadavg")),
        if cfg!(debug_assertions) { "BUILT WITHOUT OPTIMIZATION: the figures say nothing\n" } else { "" },
    )
}

/// A table that reads as text and as Markdown.
pub fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table
}

fn processor(cpuinfo: &str) -> String {
    let model = cpuinfo.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim().to_owned())
    });
    model.unwrap_or_else(|| "unknown processor".to_owned())
}

/// Those that are there, whatever this process may use of them.
fn cores(cpuinfo: &str) -> usize {
    cpuinfo
        .lines()
        .filter(|line| line.split(':').next().is_some_and(|name| name.trim() == "processor"))
        .count()
}

fn kernel(version: &str) -> String {
    version.split_whitespace().take(3).filter(|word| *word != "version").collect::<Vec<_>>().join(" ")
}

fn load(loadavg: &str) -> &str {
    loadavg.split_whitespace().next().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_files_are_read() {
        assert_eq!(processor("processor\t: 0\nmodel\t\t: 2\nmodel name\t: A B 1\n"), "A B 1");
        assert_eq!(processor("processor: 0"), "unknown processor");
        assert_eq!(cores("processor\t: 0\nmodel name\t: A\n\nprocessor\t: 1\n"), 2);
        assert_eq!(kernel("Linux version 6.12.1-cloud (gcc) #1 SMP"), "Linux 6.12.1-cloud");
        assert_eq!(load("0.50 1.00 2.00 1/200 4000"), "0.50");
    }

    #[test]
    fn a_heading_names_the_command() {
        let heading = heading("micro");
        assert!(heading.contains("--bin micro"), "{heading}");
        assert!(heading.starts_with("date:    20"), "{heading}");
    }

    #[test]
    fn tables_are_markdown() {
        let table = table(["work", "us"], [["sanitize".to_owned(), "0.5".to_owned()]]).to_string();
        assert_eq!(
            table.lines().collect::<Vec<_>>(),
            ["| work     | us  |", "|----------|-----|", "| sanitize | 0.5 |"]
        );
    }
}
