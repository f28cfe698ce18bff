//! What the loader delivers: an epoch of 4,096 digits [1, 28, 28] in batches of 64, shuffled, moved, turned, scaled and
//! normalised, by the number of workers; and other augmentation of 1,024 pictures [3, 32, 32].

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use taper_benches as _;
use taper_trainer::data::{
    ColorJitter, InMemoryDataset, Loader, Normalize, RandomAffine, RandomCrop, RandomErasing, RandomHorizontalFlip,
    Resize,
};

fn pictures(count: usize, shape: [usize; 3]) -> InMemoryDataset {
    let pixels = (0..count * shape.iter().product::<usize>()).map(|i| (i * 31 % 256) as u8).collect();
    InMemoryDataset::from_pixels(pixels, &shape, (0..count as u32).map(|i| i % 10).collect()).unwrap()
}

fn time(c: &mut Criterion, group: &str, loaders: &[(&str, Loader)]) {
    let mut group = c.benchmark_group(group);
    group.sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    for (name, loader) in loaders {
        group.throughput(Throughput::Elements(loader.len() as u64));
        group.bench_function(*name, |bencher| {
            bencher.iter(|| loader.epoch(0, 0).for_each(|batch| drop(black_box(batch.unwrap()))));
        });
    }
}

fn mnist(c: &mut Criterion) {
    let plain = Loader::new(pictures(4096, [1, 28, 28]), 64).unwrap().shuffle(true).workers(0);
    let affine = RandomAffine::new(12.0, [0.07, 0.07], [0.88, 1.12]).unwrap();
    let augmented = plain.clone().transform(affine).transform(Normalize::new(&[0.0], &[0.3081]).unwrap());
    let workers = |workers| augmented.clone().workers(workers);
    let loaders = [
        ("unchanged, 0 workers", plain),
        ("affine, 0 workers", workers(0)),
        ("affine, 1 worker", workers(1)),
        ("affine, 2 workers", workers(2)),
    ];
    time(c, "loader of 28x28 digits", &loaders);
}

fn colour(c: &mut Criterion) {
    let plain = Loader::new(pictures(1024, [3, 32, 32]), 64).unwrap().shuffle(true).workers(0);
    let jitter = ColorJitter::new(0.4, 0.4, 0.4, 0.1).unwrap();
    let loaders = [
        ("flip", plain.clone().transform(RandomHorizontalFlip::new(0.5).unwrap())),
        ("crop", plain.clone().transform(RandomCrop::new([32, 32], [4, 4]).unwrap())),
        ("erasing", plain.clone().transform(RandomErasing::new(0.5, [0.02, 0.33], [0.3, 3.3]).unwrap())),
        ("resize", plain.clone().transform(Resize::new([24, 40]).unwrap())),
        ("colours", plain.clone().transform(jitter)),
    ];
    time(c, "loader of 3x32x32 pictures", &loaders);
}

criterion_group!(benches, mnist, colour);
criterion_main!(benches);
