//! Two hundred damaged checkpoints: each is passed over by name for the one before, or refused by name; none is taken for
//! whole, crashes the fit or makes it claim memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Var};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::fs;
use std::path::Path;
use taper_trainer::data::{InMemoryDataset, Loader};
use taper_trainer::{Auroc, Checkpoints, Error, FitStart, Observer, Result, TopK, Trainer};

const CASES: u32 = 200;
const OLDER: &str = "step-00000005.safetensors";
const NEWER: &str = "step-00000006.safetensors";
/// More than a whole run takes, and far less than what the damaged headers claim.
const MEMORY: u64 = 1 << 30;

/// What is done to the newer of two checkpoints.
#[derive(Debug, Clone)]
enum Damage {
    /// Bits are flipped at one or more places.
    Flip(Vec<(Index, u8)>),
    Truncate(Index),
    Extend(Vec<u8>),
    /// The header claims to be so long.
    HeaderLength(u64),
    /// A number of the header, an extent or an offset, is another one.
    Number(Index, u64),
    /// A field of the metadata is gone, and the checksum is that of the rest.
    Field(Index),
    /// A tensor is gone, and the checksum is that of the rest.
    Tensor(Index),
    /// The file is the older one under the newer one's name.
    Older,
    /// The two files have each other's names.
    Swap,
}

fn damage() -> impl Strategy<Value = Damage> {
    let hostile = || prop_oneof![Just(u64::MAX), Just(u64::MAX / 4), Just(1 << 40), Just(99_999_999), any::<u64>()];
    prop_oneof![
        5 => prop::collection::vec((any::<Index>(), 1..=u8::MAX), 1..8).prop_map(Damage::Flip),
        4 => any::<Index>().prop_map(Damage::Truncate),
        1 => prop::collection::vec(any::<u8>(), 1..100).prop_map(Damage::Extend),
        2 => hostile().prop_map(Damage::HeaderLength),
        3 => (any::<Index>(), hostile()).prop_map(|(at, value)| Damage::Number(at, value)),
        4 => any::<Index>().prop_map(Damage::Field),
        3 => any::<Index>().prop_map(Damage::Tensor),
        1 => Just(Damage::Older),
        1 => Just(Damage::Swap),
    ]
}

/// The two files after the damage.
fn apply(damage: &Damage, [older, newer]: &[Vec<u8>; 2]) -> [Vec<u8>; 2] {
    let mut bytes = newer.clone();
    match damage {
        Damage::Flip(flips) => {
            // A place that is named twice is flipped once: twice would mend it.
            let flips: BTreeMap<_, _> = flips.iter().map(|(at, mask)| (at.index(newer.len()), mask)).collect();
            flips.into_iter().for_each(|(at, mask)| bytes[at] ^= mask);
        }
        Damage::Truncate(at) => bytes.truncate(at.index(newer.len())),
        Damage::Extend(more) => bytes.extend(more),
        Damage::HeaderLength(length) => bytes[..8].copy_from_slice(&length.to_le_bytes()),
        Damage::Number(at, value) => bytes = with_number(newer, at, *value),
        Damage::Field(at) => {
            bytes = rebuilt(newer, |_, metadata| {
                let paths = fields(metadata);
                remove(metadata, &paths[at.index(paths.len())]);
            });
        }
        Damage::Tensor(at) => {
            bytes = rebuilt(newer, |names, _| {
                let name = names.iter().nth(at.index(names.len())).unwrap().clone();
                names.remove(&name);
            });
        }
        Damage::Older => bytes.clone_from(older),
        Damage::Swap => return [newer.clone(), older.clone()],
    }
    [older.clone(), bytes]
}

/// The file with one number of its header's shapes and offsets replaced, the header's length set right.
fn with_number(bytes: &[u8], at: &Index, value: u64) -> Vec<u8> {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let tensors = header.as_object_mut().unwrap().iter_mut().filter(|(name, _)| *name != "__metadata__");
    let lists = tensors.flat_map(|(_, tensor)| tensor.as_object_mut().unwrap().values_mut());
    let mut numbers: Vec<_> = lists.filter_map(Value::as_array_mut).flatten().collect();
    let at = at.index(numbers.len());
    // One more than a number is another number.
    *numbers[at] = if numbers[at].as_u64() == Some(value) { (value + 1).into() } else { value.into() };
    let header = header.to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes[8 + length..]].concat()
}

/// The file written anew by other hands, its tensors and its metadata changed and its checksum right.
fn rebuilt(bytes: &[u8], change: impl FnOnce(&mut BTreeSet<String>, &mut Value)) -> Vec<u8> {
    let tensors = SafeTensors::deserialize(bytes).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(bytes).unwrap();
    let mut metadata: Value = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["taper"]).unwrap();
    let mut names: BTreeSet<_> = tensors.names().into_iter().map(str::to_owned).collect();
    change(&mut names, &mut metadata);
    let views = names.iter().map(|name| (name.as_str(), tensors.tensor(name).unwrap()));
    let metadata = HashMap::from([("taper".to_owned(), metadata.to_string())]);
    let mut bytes = safetensors::serialize(views, Some(metadata)).unwrap();
    if names.contains("checksum") {
        let place = SafeTensors::deserialize(&bytes).unwrap().tensor("checksum").unwrap().data().as_ptr().addr();
        let start = place - bytes.as_ptr().addr();
        let checksum = crc32fast::hash(&[&bytes[..start], &bytes[start + 4..]].concat());
        bytes[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
    }
    bytes
}

/// The way to each field, at any depth.
fn fields(value: &Value) -> Vec<Vec<String>> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(children) => children.iter().map(|(name, child)| (name.clone(), child)).collect(),
        Value::Array(children) => children.iter().enumerate().map(|(i, child)| (i.to_string(), child)).collect(),
        _ => Vec::new(),
    };
    let below = |(name, child): (String, &Value)| {
        let longer = fields(child).into_iter().map(|path| [vec![name.clone()], path].concat()).collect::<Vec<_>>();
        [vec![vec![name.clone()]], longer].concat()
    };
    children.into_iter().flat_map(below).collect()
}

fn remove(value: &mut Value, path: &[String]) {
    match (value, path) {
        (Value::Object(fields), [last]) => drop(fields.remove(last)),
        (Value::Array(elements), [last]) => drop(elements.remove(last.parse().unwrap())),
        (Value::Object(fields), [first, rest @ ..]) => remove(fields.get_mut(first).unwrap(), rest),
        (Value::Array(elements), [first, rest @ ..]) => remove(&mut elements[first.parse::<usize>().unwrap()], rest),
        (value, path) => panic!("no {path:?} in {value}"),
    }
}

/// What a fit found when it started: the checkpoint it goes on from, and those it passed over.
#[derive(Default)]
struct Seen {
    from: Option<String>,
    skipped: Vec<String>,
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

impl Observer for Seen {
    fn on_fit_start(&mut self, start: &FitStart<'_>) -> Result<()> {
        let resume = start.resume.unwrap();
        self.from = resume.from.map(name);
        self.skipped = resume.skipped.iter().map(|skipped| name(&skipped.path)).collect();
        assert!(resume.skipped.iter().all(|it| !it.reason.is_empty() && !it.reason.contains('\n')));
        Ok(())
    }
}

/// Three epochs of two steps, each with a checkpoint.
fn fit(folder: &Path) -> Result<Seen> {
    let data = InMemoryDataset::new(vec![0.5; 8], &[2], vec![0, 1, 1, 0])?;
    let loader = Loader::new(data, 2)?.workers(0);
    let [weight, steps] = [(2, 3), (1, 1)].map(|shape| Var::zeros(shape, DType::F32, &Device::Cpu).unwrap());
    let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
    let mut seen = Seen::default();
    Trainer::new(vars, |x, _| x.matmul(&weight))
        .buffers(BTreeMap::from([("steps".to_owned(), steps)]))
        .ema(taper_trainer::Ema::new(0.9))
        .metric(Auroc::default())
        .metric(TopK::new(2)?)
        .epochs(3)
        .checkpoints(Checkpoints::new(folder).every_steps(1).keep_last(2))
        .resume(true)
        .observer(&mut seen)
        .fit(&loader, Some(&loader))?;
    Ok(seen)
}

/// The most address space this process has ever had, in bytes, where the system tells.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024)
}

/// Resumes from two files of which the newer one is damaged, and holds the outcome to what may become of it.
fn check(whole: &[Vec<u8>; 2], damaged: &[Vec<u8>; 2], what: &dyn Debug) {
    let folder = tempfile::tempdir().unwrap();
    let files = || [OLDER, NEWER].map(|name| fs::read(folder.path().join(name)).unwrap());
    fs::write(folder.path().join(OLDER), &damaged[0]).unwrap();
    fs::write(folder.path().join(NEWER), &damaged[1]).unwrap();
    match fit(folder.path()) {
        // The steps that were lost are taken again, with the same bits.
        Ok(seen) => {
            let older_is_whole = damaged[0] == whole[0];
            assert_eq!(seen.from.as_deref(), older_is_whole.then_some(OLDER), "{what:?}");
            assert_eq!(seen.skipped, if older_is_whole { vec![NEWER] } else { vec![NEWER, OLDER] }, "{what:?}");
            assert!(files() == *whole, "{what:?}");
        }
        Err(Error::Checkpoint { path, .. } | Error::ConfigurationChanged { path, .. }) => {
            assert_eq!(name(&path), NEWER, "{what:?}");
            assert!(files() == *damaged, "{what:?}");
        }
        Err(other) => panic!("{what:?}: {other}"),
    }
}

/// A whole run's last two checkpoints.
fn whole() -> [Vec<u8>; 2] {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(fit(folder.path()).unwrap().from, None);
    [OLDER, NEWER].map(|name| fs::read(folder.path().join(name)).unwrap())
}

#[test]
fn a_damaged_checkpoint_is_refused_by_name_or_the_one_before_is_taken() {
    let whole = whole();
    let before = peak_memory();
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[29; 32]));
    let checked = runner.run(&damage(), |damage| {
        check(&whole, &apply(&damage, &whole), &damage);
        Ok(())
    });
    checked.unwrap();
    let claimed = peak_memory() - before;
    assert!(claimed < MEMORY, "{claimed} bytes");
}

#[test]
fn no_field_and_no_tensor_may_be_missing() {
    let whole = whole();
    let [older, newer] = &whole;
    let mut paths = Vec::new();
    assert!(rebuilt(newer, |_, metadata| paths = fields(metadata)).len() == newer.len(), "other hands write as much");
    for path in &paths {
        let damaged = rebuilt(newer, |_, metadata| remove(metadata, path));
        check(&whole, &[older.clone(), damaged], path);
    }
    for gone in SafeTensors::deserialize(newer).unwrap().names() {
        let damaged = rebuilt(newer, |names, _| assert!(names.remove(gone)));
        check(&whole, &[older.clone(), damaged], &gone);
    }
}
