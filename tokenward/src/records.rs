//! Deliveries as people and programs read them.

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Row, Table, presets};
use tokenward_cluster::delivery::{Delivery, Missing};

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Aligned columns.
    Table,
    /// JSON.
    Json,
}

/// All deliveries, for standard output.
pub(crate) fn render(deliveries: &[Delivery], format: OutputFormat) -> String {
    match format {
        OutputFormat::Table => lines(deliveries, &[], None).join("\n") + "\n",
        OutputFormat::Json => {
            let mut text = serde_json::to_string_pretty(deliveries).expect("a delivery has only string keys");
            text.push('\n');
            text
        }
    }
}

/// The table, line by line: what is mounted, then what is still waited for. `width` cuts what would not fit a terminal.
pub(crate) fn lines(deliveries: &[Delivery], missing: &[Missing], width: Option<u16>) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "NODE",
        "NAMESPACE",
        "POD",
        "VOLUME",
        "DRIVER",
        "PLACEMENT",
        "AUDIENCES",
        "EXPIRES",
        "LATENCY",
    ]);
    for delivery in deliveries {
        table.add_row(row(delivery));
    }
    for missing in missing {
        let volume = &missing.volume;
        table.add_row(["-", &volume.namespace, &volume.pod, &volume.volume, "-", "waiting", "-", "-", "-"]);
    }
    if let Some(width) = width {
        table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// One delivery on one line, for a log of what happens.
pub(crate) fn line(delivery: &Delivery) -> String {
    let Delivery { node, driver, latency, .. } = delivery;
    let volume = delivery.volume();
    let what = match (delivery.placement, delivery.expires) {
        (Some(placement), Some(expires)) => {
            format!("tokens for {} in {placement}, until {expires}", audiences(delivery))
        }
        _ => "no tokens".to_owned(),
    };
    format!("{volume} mounted on {node} by {driver} in {}: {what}", milliseconds(*latency))
}

fn row(delivery: &Delivery) -> Row {
    let dash = || "-".to_owned();
    Row::from([
        delivery.node.clone(),
        delivery.namespace.clone(),
        delivery.pod.clone(),
        delivery.volume.clone(),
        delivery.driver.clone(),
        delivery.placement.map_or_else(dash, |placement| placement.to_string()),
        if delivery.placement.is_some() { audiences(delivery) } else { dash() },
        delivery.expires.map_or_else(dash, |expires| expires.to_string()),
        milliseconds(delivery.latency),
    ])
}

fn audiences(delivery: &Delivery) -> String {
    let shown: Vec<&str> = delivery
        .audiences
        .iter()
        .map(|audience| if audience.is_empty() { "(the API server)" } else { audience.as_str() })
        .collect();
    shown.join(",")
}

fn milliseconds(duration: std::time::Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokenward_cluster::delivery::PodVolume;
    use tokenward_tokens::{Audience, Placement};

    use super::*;

    fn deliveries() -> Vec<Delivery> {
        let first = Delivery {
            node: "node-1".into(),
            namespace: "quickstart".into(),
            pod: "reader".into(),
            volume: "tokens".into(),
            driver: "secrets.example".into(),
            placement: Some(Placement::Secrets),
            audiences: vec![Audience::new("sts.example"), Audience::new("")],
            expires: Some("2026-03-01T12:10:00Z".parse().unwrap()),
            latency: Duration::from_micros(12_345),
        };
        let second = Delivery {
            volume: "plain".into(),
            placement: None,
            audiences: Vec::new(),
            expires: None,
            latency: Duration::from_millis(3),
            ..first.clone()
        };
        vec![first, second]
    }

    #[test]
    fn a_table_has_a_line_for_each_volume() {
        let missing = Missing {
            volume: PodVolume { namespace: "quickstart".into(), pod: "late".into(), volume: "tokens".into() },
            reason: "the pod is not scheduled to a node yet".into(),
        };
        assert_eq!(
            lines(&deliveries(), &[missing], None),
            [
                "NODE    NAMESPACE   POD     VOLUME  DRIVER           PLACEMENT  AUDIENCES                     EXPIRES               LATENCY",
                "node-1  quickstart  reader  tokens  secrets.example  secrets    sts.example,(the API server)  2026-03-01T12:10:00Z  12.3 ms",
                "node-1  quickstart  reader  plain   secrets.example  -          -                             -                     3.0 ms",
                "-       quickstart  late    tokens  -                waiting    -                             -                     -",
            ]
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for line in lines(&deliveries(), &[], Some(60)) {
            assert!(line.chars().count() <= 60, "{line}");
        }
    }

    #[test]
    fn json_is_an_array_even_of_nothing() {
        assert_eq!(render(&[], OutputFormat::Json), "[]\n");
        let value: serde_json::Value =
            serde_json::from_str(&render(&deliveries(), OutputFormat::Json)).unwrap();
        assert_eq!(value[0]["placement"], "secrets");
        assert_eq!(value[1]["placement"], serde_json::Value::Null);
    }

    #[test]
    fn one_line_tells_it_all() {
        assert_eq!(
            deliveries().iter().map(line).collect::<Vec<_>>(),
            [
                "quickstart/reader volume tokens mounted on node-1 by secrets.example in 12.3 ms: \
                 tokens for sts.example,(the API server) in secrets, until 2026-03-01T12:10:00Z",
                "quickstart/reader volume plain mounted on node-1 by secrets.example in 3.0 ms: no tokens",
            ]
        );
    }
}
