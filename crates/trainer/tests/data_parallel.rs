//! Processes that train together, for which threads stand here, on sockets of this machine: the bits of one process that
//! takes the same pieces, and no process that waits for ever.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};
use support::{Net, dataset};
use taper_trainer::data::Loader;
use taper_trainer::distributed::{ProcessGroup, Rendezvous};
use taper_trainer::optim::{Sgd, SgdConfig};
use taper_trainer::{Checkpoints, Ema, Error, History, JsonLines, Observer, Result, StepEnd, Trainer};

const EPOCHS: usize = 3;

/// An address of this machine that nobody listens at.
fn address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn meeting(rank: usize, world_size: usize, address: &str) -> Rendezvous {
    Rendezvous::new(rank, world_size, address).timeout(Duration::from_secs(20))
}

/// What each of `world_size` processes makes of `work`, by rank.
fn together<R: Send>(world_size: usize, work: impl Fn(ProcessGroup) -> Result<R> + Sync) -> Vec<Result<R>> {
    let (address, work) = (address(), &work);
    thread::scope(|scope| {
        let start = |rank| {
            let rendezvous = meeting(rank, world_size, &address);
            scope.spawn(move || work(ProcessGroup::connect(&rendezvous)?))
        };
        let threads: Vec<_> = (0..world_size).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Six samples a batch, and five in the last.
fn loader() -> Loader {
    Loader::new(dataset(), 6).unwrap().seed(7).shuffle(true)
}

fn trainer(net: &Net) -> Trainer<'_> {
    let sgd = Sgd::new(SgdConfig { lr: 0.05, momentum: 0.9, ..Default::default() }).unwrap();
    Trainer::new(net.vars.clone(), |x, mode| net.forward(x, mode))
        .buffers(net.buffers.clone())
        .optimizer(sgd)
        .clip_norm(1.0)
        .ema(Ema::new(0.9))
        .seed(3)
        .epochs(EPOCHS)
}

type Bits = BTreeMap<String, Vec<u64>>;

fn values(bits: &Bits) -> impl Iterator<Item = f64> + '_ {
    bits.values().flatten().map(|bits| f64::from_bits(*bits))
}

fn close(ours: &Bits, theirs: &Bits, tolerance: f64) -> bool {
    values(ours).zip(values(theirs)).all(|(a, b)| (a - b).abs() <= tolerance)
}

#[test]
fn processes_leave_the_bits_of_one_that_takes_their_pieces() {
    // Parts of one size: three samples of six, or two.
    let loader = || loader().drop_last(true);
    for (world_size, piece) in [(2, 3), (3, 2)] {
        let alone = Net::new(DType::F32);
        let history = trainer(&alone).micro_batch(piece).fit(&loader(), Some(&loader())).unwrap();
        let ranks = together(world_size, |group| {
            let net = Net::new(DType::F32);
            let history = trainer(&net).data_parallel(group).fit(&loader(), Some(&loader()))?;
            Ok((net.bits(), history))
        });
        for rank in ranks {
            let (bits, theirs) = rank.unwrap();
            assert_eq!(bits, alone.bits(), "{world_size} processes");
            assert_eq!(theirs, history, "{world_size} processes");
        }
    }
}

/// The last batch has five samples: with six processes, one of them has none.
#[test]
fn parts_of_unequal_size_are_weighted_by_their_samples() {
    let alone = Net::new(DType::F64);
    let history = trainer(&alone).fit(&loader(), None).unwrap();
    for world_size in [1, 2, 6] {
        let ranks = together(world_size, |group| {
            let net = Net::new(DType::F64);
            let history = trainer(&net).data_parallel(group).fit(&loader(), None)?;
            Ok((net.bits(), history))
        });
        let ranks: Vec<(Bits, History)> = ranks.into_iter().map(Result::unwrap).collect();
        for (bits, theirs) in &ranks {
            assert_eq!(*bits, ranks[0].0);
            assert!(close(bits, &alone.bits(), 1e-12), "{world_size} processes");
            let (theirs, ours) = (theirs.epochs[EPOCHS - 1].train, history.epochs[EPOCHS - 1].train);
            assert_eq!((theirs.samples, theirs.accuracy), (23, ours.accuracy));
            assert!((theirs.loss - ours.loss).abs() < 1e-12);
        }
    }
}

#[test]
fn buffers_are_the_mean_over_the_processes() {
    let ranks = together(2, |group| {
        let rank = group.rank();
        let weight = Var::zeros((60, 3), DType::F32, &Device::Cpu)?;
        let (seen, count) = (Var::new(0f32, &Device::Cpu)?, Var::new(0i64, &Device::Cpu)?);
        let vars = BTreeMap::from([("weight".to_owned(), weight.clone())]);
        let buffers = BTreeMap::from([("seen".to_owned(), seen.clone()), ("count".to_owned(), count.clone())]);
        let forward = |x: &Tensor, _: &taper_ops::Mode| {
            seen.set(&Tensor::new((rank * 10) as f32, x.device())?)?;
            count.set(&Tensor::new(7i64, x.device())?)?;
            x.flatten_from(1)?.matmul(&weight)
        };
        Trainer::new(vars, forward).buffers(buffers).data_parallel(group).fit(&loader(), None)?;
        Ok((seen.to_scalar::<f32>()?, count.to_scalar::<i64>()?))
    });
    ranks.into_iter().for_each(|rank| assert_eq!(rank.unwrap(), (5., 7)));
}

/// Counts steps, and raises a flag at one of them.
struct RaiseAt(usize, Arc<AtomicBool>);

impl Observer for RaiseAt {
    fn on_step(&mut self, step: &StepEnd) -> Result<()> {
        self.1.fetch_or(step.step == self.0, Ordering::Relaxed);
        Ok(())
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

#[test]
fn one_that_is_asked_to_stop_stops_all_and_all_resume() {
    let run = |folder: &Path, stop_at: Option<usize>, go_on: bool| {
        together(2, |group| {
            let (net, flag) = (Net::with_batch_norm(DType::F32), Arc::new(AtomicBool::new(false)));
            let mut trainer = trainer(&net)
                .checkpoints(Checkpoints::new(folder).every_steps(5))
                .observer(JsonLines::new(folder.join("log.jsonl")))
                .resume(true)
                .stop_when(flag.clone())
                .data_parallel(group);
            if let Some(step) = stop_at {
                trainer = trainer.observer(RaiseAt(step, flag.clone()));
            }
            let mut fitted = trainer.fit(&loader(), Some(&loader()));
            if go_on {
                // The same group, after all of it has stopped.
                flag.store(false, Ordering::Relaxed);
                fitted = trainer.fit(&loader(), Some(&loader()));
            }
            Ok((net.bits(), fitted))
        })
    };
    let [whole, stopped, gone_on] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let finished = |rank: Result<(Bits, Result<History>)>| {
        let (bits, fitted) = rank.unwrap();
        (bits, fitted.unwrap())
    };
    let expected: Vec<_> = run(whole.path(), None, false).into_iter().map(finished).collect();
    for rank in run(stopped.path(), Some(6), false) {
        // The flag went up after the sixth step, which the processes hear of in the seventh.
        assert!(matches!(rank.unwrap().1, Err(Error::Stopped { step: 7, .. })));
    }
    let resumed: Vec<_> = run(stopped.path(), None, false).into_iter().map(finished).collect();
    assert_eq!(resumed, expected);
    assert_eq!(files(stopped.path()), files(whole.path()));
    // The same trainers, which have stopped together.
    let gone_on: Vec<_> = run(gone_on.path(), Some(6), true).into_iter().map(finished).collect();
    assert_eq!(gone_on, expected);
}

#[test]
fn processes_that_would_train_different_models_are_refused() {
    let refused = |set: fn(Trainer<'_>, usize) -> Trainer<'_>, dtype: fn(usize) -> f64, what: &str| {
        let ranks = together(3, |group| {
            let (net, rank) = (Net::new(DType::F32), group.rank());
            net.vars["fc.bias"].set(&(net.vars["fc.bias"].as_detached_tensor() * dtype(rank))?)?;
            set(trainer(&net), rank).data_parallel(group).fit(&loader(), None)
        });
        for rank in ranks {
            let error = rank.unwrap_err();
            assert!(matches!(error, Error::RanksDiffer { rank: 2, .. }), "{error}");
            assert!(error.to_string().starts_with(what), "{error}");
        }
    };
    let other = |rank: usize| if rank == 2 { 2. } else { 1. };
    refused(|trainer, _| trainer, other, "the weights differ between rank 0 and rank 2: build the model");
    refused(|trainer, rank| trainer.seed(rank as u64 / 2), |_| 1., "the settings differ between rank 0 and rank 2");
    refused(|trainer, rank| trainer.epochs(2 + rank / 2), |_| 1., "the settings differ between rank 0 and rank 2");
}

#[test]
fn one_that_fails_ends_all() {
    let (begin, all_ended) = (Instant::now(), Barrier::new(3));
    let ranks = together(3, |group| {
        let (net, rank) = (Net::new(DType::F32), group.rank());
        let forward = |x: &Tensor, mode: &taper_ops::Mode| {
            let broken = rank == 1 && mode.draw().is_some_and(|draw| draw.step == 2);
            if broken { net.forward(x, mode)? * f64::NAN } else { net.forward(x, mode) }
        };
        let mut trainer = Trainer::new(net.vars.clone(), forward).data_parallel(group);
        let fitted = trainer.fit(&loader(), None);
        // The trainer lives on, as in a program that goes on to something else.
        all_ended.wait();
        fitted
    });
    let errors: Vec<String> = ranks.into_iter().map(|rank| rank.unwrap_err().to_string()).collect();
    assert!(errors[1].starts_with("the loss is NaN at step 3"), "{errors:?}");
    assert!(errors[0].starts_with("rank 1 is lost: "), "{errors:?}");
    assert!(errors[2].starts_with("rank 0 is lost: "), "{errors:?}");
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24, rng_seed: RngSeed::Fixed(20_261_125), failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn tensors_come_by_rank_and_add_up_in_that_order(
        world_size in 1..5usize,
        shape in prop::array::uniform2(0..5usize),
        double in any::<bool>(),
    ) {
        let dtype = if double { DType::F64 } else { DType::F32 };
        let of = |rank: usize| -> candle_core::Result<Tensor> {
            let count = shape.iter().product::<usize>();
            let numbers: Vec<f64> = (0..count).map(|i| ((i + 1) as f64).powi(9 * (rank as i32 - 1)) / 3.).collect();
            Tensor::from_vec(numbers, &shape, &Device::Cpu)?.to_dtype(dtype)
        };
        let bits = |tensor: &Tensor| -> Vec<u64> {
            let numbers: Vec<f64> = tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap();
            numbers.into_iter().map(f64::to_bits).collect()
        };
        let all: Vec<Tensor> = (0..world_size).map(|rank| of(rank).unwrap()).collect();
        let sum = all[1..].iter().try_fold(all[0].clone(), |sum, tensor| sum + tensor).unwrap();
        let ranks = together(world_size, |mut group| {
            // A view whose elements do not lie in its order.
            let own = of(group.rank())?.t()?.contiguous()?.t()?;
            Ok((group.all_gather(&own)?, group.all_reduce(&own)?))
        });
        for rank in ranks {
            let (gathered, reduced) = rank.unwrap();
            prop_assert_eq!(gathered.iter().map(bits).collect::<Vec<_>>(), all.iter().map(bits).collect::<Vec<_>>());
            prop_assert_eq!((bits(&reduced), reduced.dims(), reduced.dtype()), (bits(&sum), &shape[..], dtype));
        }
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let message = |outcome: Result<ProcessGroup>| outcome.unwrap_err().to_string();
    let none = address();
    assert_eq!(
        message(ProcessGroup::connect(&meeting(3, 3, &none))),
        "ProcessGroup: rank must be below world_size, got 3 of 3"
    );
    let short = |rank| meeting(rank, 2, &none).timeout(Duration::from_millis(200));
    let late = format!("rank 0: the processes do not meet at {none}: rank 1 has not come in 0.2 s");
    assert_eq!(message(ProcessGroup::connect(&short(0))), late);
    let nobody = message(ProcessGroup::connect(&short(1)));
    assert!(nobody.starts_with(&format!("rank 1: the processes do not meet at {none}: ")), "{nobody}");

    // Two of one rank, and one that counts otherwise.
    for (ranks, counts, told) in [([1, 1], [3, 3], "rank 1 of 3"), ([1, 2], [3, 4], "rank 2 of 4")] {
        let place = &address();
        let outcome = thread::scope(|scope| {
            for (rank, count) in ranks.into_iter().zip(counts) {
                let rendezvous = Rendezvous::new(rank, count, place).timeout(Duration::from_secs(2));
                scope.spawn(move || ProcessGroup::connect(&rendezvous).unwrap_err());
            }
            message(ProcessGroup::connect(&meeting(0, 3, place)))
        });
        assert!(outcome.ends_with(&format!("{told} came where 3 meet, each once")), "{outcome}");
    }

    // Whoever speaks of something else is let go, and the processes meet.
    let place = &address();
    thread::scope(|scope| {
        let leader = scope.spawn(move || ProcessGroup::connect(&meeting(0, 2, place)));
        let stranger = loop {
            match TcpStream::connect(place) {
                Ok(stranger) => break stranger,
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        };
        (&stranger).write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let other = ProcessGroup::connect(&meeting(1, 2, place)).unwrap();
        assert_eq!((other.rank(), leader.join().unwrap().unwrap().world_size()), (1, 2));
    });

    let sizes = together(2, |mut group| group.all_gather(&Tensor::zeros(3 + group.rank(), DType::F32, &Device::Cpu)?));
    let errors: Vec<String> = sizes.into_iter().map(|rank| rank.unwrap_err().to_string()).collect();
    assert!(errors[0].starts_with("rank 1 is lost: it gives 16 bytes and rank 0 12"), "{errors:?}");
    assert!(errors[1].starts_with("rank 0 is lost: "), "{errors:?}");

    let [alone] =
        <[_; 1]>::try_from(together(1, |mut group| group.all_gather(&Tensor::zeros(2, DType::U32, &Device::Cpu)?)))
            .unwrap();
    assert_eq!(alone.unwrap_err().to_string(), "ProcessGroup: dtype must be f32 or f64, got u32");
}
