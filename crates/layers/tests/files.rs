//! Saving and loading: what survives, what is refused and in which words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor};
use std::fs;
use std::path::Path;
use taper_layers::{Conv2d, Conv2dConfig, Error, VarStore};

/// Two convolutions, the second with `classes` outputs.
fn build(store: &VarStore, classes: usize) -> candle_core::Result<()> {
    let vb = store.builder();
    Conv2d::new(2, 3, [3, 2], Conv2dConfig::default(), vb.pp("conv1"))?;
    Conv2d::new(3, classes, 1, Conv2dConfig::default(), vb.pp("head"))?;
    vb.get_with_hints_dtype((), "bn.num_batches_tracked", candle_nn::Init::Const(7.0), DType::I64)?;
    Ok(())
}

fn built(seed: u64, classes: usize) -> VarStore {
    let store = VarStore::new(seed, DType::F32, &Device::Cpu);
    build(&store, classes).unwrap();
    store
}

fn all(store: &VarStore) -> Vec<(String, Vec<f64>)> {
    let tensors = store.vars().into_iter().chain(store.buffers());
    let values = |t: &Tensor| t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    tensors.map(|(name, var)| (name, values(&var))).collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_round_trip_keeps_every_bit_before_and_after_building() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let saved = built(1, 5);
    saved.save(&path).unwrap();
    assert_eq!(names_in(folder.path()), ["model.safetensors"]);

    let after = built(2, 5);
    assert_ne!(all(&after), all(&saved));
    after.load(&path).unwrap();
    assert_eq!(all(&after), all(&saved));

    let before = VarStore::new(3, DType::F32, &Device::Cpu);
    before.load(&path).unwrap();
    assert!(before.builder().contains_tensor("conv1.weight"));
    build(&before, 5).unwrap();
    assert_eq!(all(&before), all(&saved));
    assert!(before.unused().is_empty());
    assert!(before.vars().values().all(|var| var.is_variable()), "fine-tuning would train nothing");
}

#[test]
fn equal_values_give_equal_bytes_with_pytorchs_keys() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| folder.path().join(name));
    for path in &paths {
        built(1, 5).save(path).unwrap();
    }
    assert_eq!(fs::read(&paths[0]).unwrap(), fs::read(&paths[1]).unwrap());
    let file = candle_core::safetensors::load(&paths[0], &Device::Cpu).unwrap();
    let mut shapes: Vec<_> = file.iter().map(|(name, tensor)| (name.as_str(), tensor.dims())).collect();
    shapes.sort();
    let expected: [(&str, &[usize]); 5] = [
        ("bn.num_batches_tracked", &[]),
        ("conv1.bias", &[3]),
        ("conv1.weight", &[3, 2, 3, 2]),
        ("head.bias", &[5]),
        ("head.weight", &[5, 3, 1, 1]),
    ];
    assert_eq!(shapes, expected);
    assert_eq!(file["bn.num_batches_tracked"].dtype(), DType::I64);
}

#[test]
fn a_file_of_another_precision_is_converted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.safetensors");
    let half = VarStore::new(1, DType::F16, &Device::Cpu);
    build(&half, 5).unwrap();
    half.save(&path).unwrap();
    let store = built(2, 5);
    store.load(&path).unwrap();
    assert_eq!(all(&store), all(&half));
    assert!(store.vars().values().all(|var| var.dtype() == DType::F32));
    assert_eq!(store.buffers()["bn.num_batches_tracked"].dtype(), DType::I64);
}

#[test]
fn every_difference_is_listed_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    let other = VarStore::new(1, DType::F32, &Device::Cpu);
    Conv2d::new(2, 3, [3, 2], Conv2dConfig::default(), other.builder().pp("conv1")).unwrap();
    Conv2d::new(3, 4, 1, Conv2dConfig::default().bias(false), other.builder().pp("head")).unwrap();
    Conv2d::new(3, 4, 1, Conv2dConfig::default().bias(false), other.builder().pp("conv2")).unwrap();
    other.save(&path).unwrap();
    let store = built(2, 5);
    let before = all(&store);
    for error in [store.load(&path).unwrap_err(), store.load_partial(&path).unwrap_err()] {
        assert_eq!(
            error.to_string(),
            format!(
                "{} does not fit the network: it lacks `bn.num_batches_tracked`, `head.bias`; the network lacks \
                 `conv2.weight`; `head.weight` is [4, 3, 1, 1] in the file and [5, 3, 1, 1] in the network",
                path.display()
            )
        );
    }
    assert_eq!(all(&store), before);
}

#[test]
fn a_partial_load_takes_what_is_shared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backbone.safetensors");
    let backbone = VarStore::new(1, DType::F32, &Device::Cpu);
    Conv2d::new(2, 3, [3, 2], Conv2dConfig::default(), backbone.builder().pp("conv1")).unwrap();
    backbone.builder().get(3, "neck").unwrap();
    backbone.save(&path).unwrap();

    let store = built(2, 5);
    assert!(matches!(store.load(&path), Err(Error::Mismatch { .. })));
    let differences = store.load_partial(&path).unwrap();
    assert_eq!(differences.missing, ["bn.num_batches_tracked", "head.bias", "head.weight"]);
    assert_eq!(differences.unexpected, ["neck"]);
    let weight = |store: &VarStore, name: &str| store.vars()[name].flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(weight(&store, "conv1.weight"), weight(&backbone, "conv1.weight"));
    assert_eq!(weight(&store, "head.weight"), weight(&built(2, 5), "head.weight"));

    let before = VarStore::new(2, DType::F32, &Device::Cpu);
    assert!(before.load_partial(&path).unwrap().is_empty());
    build(&before, 5).unwrap();
    assert_eq!(all(&before), all(&store));
    assert_eq!(before.unused(), ["neck"]);
}

#[test]
fn a_network_that_the_loaded_file_does_not_fit_is_refused_while_it_is_built() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    built(1, 5).save(&path).unwrap();
    let store = VarStore::new(2, DType::F32, &Device::Cpu);
    store.load(&path).unwrap();
    assert_eq!(
        build(&store, 4).unwrap_err().to_string(),
        format!("tensor `head.weight` is [5, 3, 1, 1] in {} but the network asks for [4, 3, 1, 1]", path.display())
    );
    assert_eq!(
        store.builder().get((2, 3), "fc.weight").unwrap_err().to_string(),
        format!(
            "{} has no tensor `fc.weight`; use `load_partial` to start from fresh values where the file has none",
            path.display()
        )
    );
    let count = store.builder().get_unchecked("bn.num_batches_tracked").unwrap();
    assert_eq!(count.to_scalar::<i64>().unwrap(), 7, "an integer keeps its dtype");
}

#[test]
fn no_file_no_whole_file_no_safetensors_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let store = built(1, 5);
    let error = store.load(&path).unwrap_err();
    assert!(matches!(error, Error::Io { action: "read", .. }));
    let cause = fs::read(&path).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot read {}: {cause}", path.display()));

    store.save(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let before = all(&store);
    let mut broken: Vec<Vec<u8>> = (0..whole.len()).map(|length| whole[..length].to_vec()).collect();
    broken.push(b"not a model at all, only some text".to_vec());
    broken.push([&u64::MAX.to_le_bytes()[..], b"{}"].concat());
    broken.push([&whole[..], &[0]].concat());
    let mut overlapping = whole.clone();
    overlapping[9] ^= 0x55;
    broken.push(overlapping);
    for bytes in broken {
        fs::write(&path, &bytes).unwrap();
        let error = store.load(&path).unwrap_err();
        assert!(matches!(error, Error::NotSafetensors { .. }), "{error}");
        let message = error.to_string();
        assert!(message.starts_with(&format!("{} is not a whole safetensors file: ", path.display())), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    assert_eq!(all(&store), before);
}

#[test]
fn a_save_that_fails_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = built(1, 5);
    let missing = folder.path().join("no/such/folder/model.safetensors");
    let error = store.save(&missing).unwrap_err();
    let cause = fs::write(&missing, "").unwrap_err();
    assert_eq!(error.to_string(), format!("cannot write {}: {cause}", missing.display()));
    assert!(names_in(folder.path()).is_empty());

    // A folder at the target's place makes the rename fail once the bytes are written.
    let taken = folder.path().join("model.safetensors");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("old"), "kept").unwrap();
    assert!(matches!(store.save(&taken), Err(Error::Io { action: "write", .. })));
    assert_eq!(names_in(folder.path()), ["model.safetensors"]);
    assert_eq!(fs::read(taken.join("old")).unwrap(), b"kept");
    assert!(matches!(store.save(".."), Err(Error::Io { action: "write", .. })));
}

#[test]
fn an_error_of_ours_crosses_candle_as_one_line() {
    let error = candle_core::Error::from(Error::Unknown { name: "fc.bias".into() });
    assert_eq!(error.to_string().lines().count(), 1);
    let candle_core::Error::Io(inner) = error else { panic!("{error}") };
    assert!(matches!(inner.downcast::<Error>(), Ok(Error::Unknown { .. })));
}
