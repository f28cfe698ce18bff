//! TensorBoard's `Event` message in protobuf's wire format, as far as it is used here.
//!
//! Source: `tensorboard/compat/proto/{event,summary,tensor,tensor_shape,histogram}.proto`; the numbers are their fields'.

use super::histogram::Histogram;
use std::time::SystemTime;

/// `DataType.DT_STRING`.
const STRING: u64 = 7;
/// `SessionLog.SessionStatus.START`.
const START: u64 = 1;

/// An `Event` under construction: its own fields, and the values of its summary.
#[derive(Debug)]
pub(super) struct Event {
    fields: Message,
    summary: Message,
}

impl Event {
    /// What a file begins with.
    pub(super) fn version() -> Self {
        let mut event = Self::summary(0);
        event.fields.bytes(3, b"brain.Event:2");
        event
    }

    /// The mark of a restart: what was told of `step` and of later ones no longer holds.
    pub(super) fn restart(step: usize) -> Self {
        let mut event = Self::summary(step);
        event.fields.message(7, |session_log| session_log.varint(1, START));
        event
    }

    /// Values at `step`, none yet.
    pub(super) fn summary(step: usize) -> Self {
        let wall_time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        let mut fields = Message::default();
        fields.double(1, wall_time);
        fields.varint(2, step as u64);
        Self { fields, summary: Message::default() }
    }

    pub(super) fn scalar(mut self, tag: &str, value: f64) -> Self {
        self.summary.message(1, |it| {
            it.bytes(1, tag.as_bytes());
            it.float(2, value as f32);
        });
        self
    }

    pub(super) fn histogram(mut self, tag: &str, histogram: &Histogram) -> Self {
        let Histogram { min, max, count, sum, sum_squares, limits, counts } = histogram;
        self.summary.message(1, |it| {
            it.bytes(1, tag.as_bytes());
            it.message(5, |proto| {
                for (field, value) in (1..).zip([min, max, count, sum, sum_squares]) {
                    proto.double(field, *value);
                }
                proto.doubles(6, limits);
                proto.doubles(7, counts);
            });
        });
        self
    }

    pub(super) fn text(mut self, tag: &str, markdown: &str) -> Self {
        self.summary.message(1, |it| {
            it.bytes(1, tag.as_bytes());
            it.message(8, |tensor| {
                tensor.varint(1, STRING);
                // The shape: one axis of one element.
                tensor.message(2, |shape| shape.message(2, |axis| axis.varint(1, 1)));
                tensor.bytes(8, markdown.as_bytes());
            });
            it.message(9, |metadata| metadata.message(1, |plugin| plugin.bytes(1, b"text")));
        });
        self
    }

    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        if !self.summary.0.is_empty() {
            self.fields.bytes(5, &self.summary.0);
        }
        self.fields.0
    }
}

/// A message in protobuf's wire format: fields one after another.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.bare_varint(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.bare_varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }

    fn doubles(&mut self, field: u64, values: &[f64]) {
        let packed: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.bytes(field, &packed);
    }

    fn message(&mut self, field: u64, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.bare_varint(field << 3 | wire_type);
    }

    /// Seven bits a byte, the low ones first; the eighth says that more follow.
    fn bare_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}
