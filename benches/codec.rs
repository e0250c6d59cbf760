//! The bytes of an event: payloads to and from bincode, wire JSON to and from events.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scrollback_schema::codec::{decode_payload, encode_payload};
use scrollback_schema::wire::{self, EnvelopeHead};
use scrollback_schema::{Kind, Seq};

/// A delta of 20 characters, and a tool call with 2 KiB of result, as wire payloads.
fn samples() -> [(&'static str, Kind, String); 2] {
    let rows: Vec<String> =
        (0..60).map(|n| format!(r#"{{"row":{n},"value":"{:08}"}}"#, n * 7919)).collect();
    let tool = format!(
        r#"{{"tool":{{"id":"call-1","name":"read_csv","input":{{"path":"q3.csv"}},"result":[{}]}}}}"#,
        rows.join(",")
    );
    [
        ("delta 20 B", Kind::AssistantText, r#"{"text":"Revenue grew by 14 p"}"#.to_owned()),
        ("tool 2 KiB", Kind::ToolCompleted, tool),
    ]
}

fn codec(c: &mut Criterion) {
    for (name, kind, json) in samples() {
        let event = wire::parse_payload(kind, &json).expect("a sample is well formed");
        let mut stored = Vec::new();
        encode_payload(&event, &mut stored).expect("a sample is small");
        let mut group = c.benchmark_group(format!("codec/{name}"));
        group.throughput(Throughput::Bytes(stored.len() as u64));
        group.bench_function("encode", |b| {
            let mut out = Vec::with_capacity(4096);
            b.iter(|| {
                out.clear();
                encode_payload(black_box(&event), &mut out).expect("a sample is small");
                assert_eq!(out.len(), stored.len());
            });
        });
        group.bench_function("decode", |b| {
            b.iter(|| decode_payload(kind.number(), 1, black_box(&stored)).expect("decodes"));
        });
        group.throughput(Throughput::Bytes(json.len() as u64));
        group.bench_function("parse wire", |b| {
            b.iter(|| wire::parse_payload(kind, black_box(&json)).expect("parses"));
        });
        let head = EnvelopeHead {
            chat_id: "quarterly-numbers",
            message_id: Some("0199f2b0-5d0a-7c3e-9a51-0f6f4c1d2e3b"),
            stream_id: Some("0199f2b0-5d0a-7c3e-9a51-0f6f4c1d2e3c"),
            seq: Seq::ZERO.plus(4_812),
            at: "2026-11-22T20:52:00.123Z",
        };
        group.bench_function("write envelope", |b| {
            let mut out = Vec::with_capacity(8192);
            b.iter(|| {
                out.clear();
                wire::write_envelope(&mut out, &head, kind.number(), 1, black_box(&stored))
                    .expect("a stored payload decodes");
                assert!(out.len() > json.len());
            });
        });
        group.finish();
    }
}

criterion_group!(benches, codec);
criterion_main!(benches);
