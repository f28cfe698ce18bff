//! A checkpoint as bytes: one safetensors file with one metadata entry, and a checksum over everything.
//!
//! Tensors are `parameter.<name>`, `buffer.<name>`, `ema.<name>`, `optimizer.<name>.<state>`, `master.<name>` and `checksum`, the
//! CRC-32 of all other bytes of the file, header included. The metadata entry `taper` is JSON with the configuration and the position. One
//! entry alone, since safetensors writes several in random order, and the same run must give the same bytes.

use super::Checkpoint;
use crate::Result;
use crate::trainer::Position;
use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

const METADATA: &str = "taper";
const CHECKSUM: &str = "checksum";
const PARAMETER: &str = "parameter.";
const BUFFER: &str = "buffer.";
const AVERAGE: &str = "ema.";
const OPTIMIZER: &str = "optimizer.";
const MASTER: &str = "master.";
/// The version of this layout, to be raised whenever an older reader would misread a file.
const FORMAT: u32 = 2;

/// The metadata, to write and to read.
#[derive(Serialize, Deserialize)]
struct Header<C, P> {
    format: u32,
    configuration: C,
    position: P,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

pub(super) fn encode(checkpoint: &Checkpoint) -> Result<Vec<u8>> {
    let Checkpoint { configuration, position, parameters, buffers, averages, optimizer, masters } = checkpoint;
    let mut tensors = vec![(CHECKSUM.to_owned(), Tensor::zeros((), DType::U32, &Device::Cpu)?)];
    let groups =
        [(PARAMETER, parameters), (BUFFER, buffers), (AVERAGE, averages), (OPTIMIZER, optimizer), (MASTER, masters)];
    for (prefix, group) in groups {
        for (name, tensor) in group {
            tensors.push((format!("{prefix}{name}"), tensor.to_device(&Device::Cpu)?));
        }
    }
    let header = serde_json::to_string(&Header { format: FORMAT, configuration, position }).map_err(invalid)?;
    let metadata = HashMap::from([(METADATA.to_owned(), header)]);
    let views = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    let mut bytes = safetensors::serialize(views, Some(metadata)).map_err(invalid)?;
    let place = checksum_place(&bytes).map_err(invalid)?;
    let checksum = checksum(&bytes, &place);
    bytes[place].copy_from_slice(&checksum);
    Ok(bytes)
}

/// Reads a checkpoint, or says in words why the bytes are none.
pub(super) fn decode(bytes: &[u8]) -> Result<Checkpoint, String> {
    let place = checksum_place(bytes)?;
    if bytes[place.clone()] != checksum(bytes, &place) {
        return Err("its checksum does not fit its content".to_owned());
    }
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| words(&e))?;
    let header = metadata.metadata().as_ref().and_then(|metadata| metadata.get(METADATA));
    let header = header.ok_or("it has no metadata of taper")?;
    // First of all, since the rest may look different in another format.
    let Format { format } = serde_json::from_str(header).map_err(|e| words(&e))?;
    if format != FORMAT {
        return Err(format!("its format is {format}, and this version reads {FORMAT}"));
    }
    let Header { configuration, position, .. } =
        serde_json::from_str::<Header<BTreeMap<String, String>, Position>>(header).map_err(|e| words(&e))?;
    let [mut parameters, mut buffers, mut averages, mut optimizer, mut masters] = [const { BTreeMap::new() }; 5];
    for (name, view) in SafeTensors::deserialize(bytes).map_err(|e| words(&e))?.tensors() {
        let groups = [
            (PARAMETER, &mut parameters),
            (BUFFER, &mut buffers),
            (AVERAGE, &mut averages),
            (OPTIMIZER, &mut optimizer),
            (MASTER, &mut masters),
        ];
        let owner = groups.into_iter().find_map(|(prefix, group)| Some((group, name.strip_prefix(prefix)?)));
        let Some((group, name)) = owner else { continue };
        let dtype = DType::try_from(view.dtype()).map_err(|e| words(&e))?;
        let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu).map_err(|e| words(&e))?;
        group.insert(name.to_owned(), tensor);
    }
    Ok(Checkpoint { configuration, position, parameters, buffers, averages, optimizer, masters })
}

/// Where the checksum lies in the file.
fn checksum_place(bytes: &[u8]) -> Result<Range<usize>, String> {
    // The reader checks every length and offset of the header against the bytes that are there.
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let view = tensors.tensor(CHECKSUM).map_err(|_| "it has no checksum".to_owned())?;
    if view.data().len() != size_of::<u32>() {
        return Err("its checksum is not 4 bytes".to_owned());
    }
    let start = view.data().as_ptr().addr() - bytes.as_ptr().addr();
    Ok(start..start + size_of::<u32>())
}

fn checksum(bytes: &[u8], place: &Range<usize>) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..place.start]);
    hasher.update(&bytes[place.end..]);
    hasher.finalize().to_le_bytes()
}

fn invalid(error: impl std::fmt::Display) -> crate::Error {
    crate::Error::Candle(candle_core::Error::Msg(format!("cannot write a checkpoint: {error}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::{EpochRecord, History, Metrics};

    fn checkpoint() -> Checkpoint {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        let train = Metrics { loss: 0.1, accuracy: None, samples: 4 };
        let metrics = BTreeMap::from([("f1".to_owned(), Some(f64::INFINITY)), ("auroc".to_owned(), None)]);
        let record = EpochRecord { epoch: 1, step: 1, lr: 0.1, train, val: None, metrics };
        let history = History { epochs: vec![record] };
        Checkpoint {
            configuration: BTreeMap::from([("seed".to_owned(), "7 \"and\" more".to_owned())]),
            position: Position { step: 3, epoch: 1, batch: 2, history, ..Position::default() },
            parameters: BTreeMap::from([
                ("a.weight".to_owned(), tensor(&[1.5, f32::NAN])),
                ("b".to_owned(), tensor(&[])),
            ]),
            buffers: BTreeMap::from([("a.running_mean".to_owned(), tensor(&[-2.5]))]),
            averages: BTreeMap::from([("a.weight".to_owned(), tensor(&[0.5, 2.0]))]),
            optimizer: BTreeMap::from([("a.weight.step".to_owned(), Tensor::new(3i64, &Device::Cpu).unwrap())]),
            masters: BTreeMap::from([("b".to_owned(), tensor(&[0.25]))]),
        }
    }

    #[test]
    fn a_checkpoint_comes_back_whole_and_has_one_form() {
        let written = checkpoint();
        let bytes = encode(&written).unwrap();
        assert_eq!(bytes, encode(&checkpoint()).unwrap());
        let read = decode(&bytes).unwrap();
        assert_eq!((&read.configuration, &read.position), (&written.configuration, &written.position));
        let groups = |it: &Checkpoint| {
            [&it.parameters, &it.buffers, &it.averages, &it.optimizer, &it.masters]
                .map(|it| it.keys().cloned().collect())
        };
        assert_eq!(groups(&read), groups(&written) as [Vec<_>; 5]);
        assert_eq!(encode(&read).unwrap(), bytes);
    }

    #[test]
    fn another_format_is_told_as_such_whatever_else_it_holds() {
        let metadata = HashMap::from([(METADATA.to_owned(), r#"{"format":1,"position":7}"#.to_owned())]);
        let tensor = Tensor::zeros((), DType::U32, &Device::Cpu).unwrap();
        let mut bytes = safetensors::serialize([(CHECKSUM, &tensor)], Some(metadata)).unwrap();
        let place = checksum_place(&bytes).unwrap();
        let checksum = checksum(&bytes, &place);
        bytes[place].copy_from_slice(&checksum);
        assert_eq!(decode(&bytes).err().unwrap(), "its format is 1, and this version reads 2");
    }

    #[test]
    fn every_flipped_bit_and_every_missing_byte_is_found() {
        let bytes = encode(&checkpoint()).unwrap();
        for at in 0..bytes.len() {
            assert!(decode(&bytes[..at]).is_err(), "{at} of {} bytes", bytes.len());
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(decode(&flipped).is_err(), "bit {bit} of byte {at}");
            }
        }
    }
}
