//! Data sets from the Hugging Face Hub, fetched once and read from its cache from then on.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo};

use super::InMemoryDataset;
use super::image_table::{self, Columns};
use super::mnist::{self, Split};
use crate::{Error, Result};

const ENDPOINT: &str = "https://huggingface.co";
const MNIST: Table = Table { repo: "ylecun/mnist", folder: "mnist", columns: GREY };
const FASHION_MNIST: Table = Table { repo: "zalando-datasets/fashion_mnist", folder: "fashion_mnist", columns: GREY };
const CIFAR10: Table = Table {
    repo: "uoft-cs/cifar10",
    folder: "plain_text",
    columns: Columns { image: "img", channels: 3, classes: 10 },
};
const GREY: Columns = Columns { image: "image", channels: 1, classes: mnist::CLASSES };

/// Where a data set lies: a Parquet file a split, in a folder of a repository.
#[derive(Clone, Copy)]
struct Table {
    repo: &'static str,
    folder: &'static str,
    columns: Columns,
}

/// The Hugging Face Hub, and the folder that keeps what was fetched from it.
///
/// The folder is laid out as Python's `huggingface_hub` does it, and shared with it. A file that lies there whole is read
/// without a request, so a second run needs no network.
///
/// ```no_run
/// use taper_trainer::data::{Dataset, hub::Hub, mnist::Split};
///
/// # fn main() -> taper_trainer::Result<()> {
/// let train = Hub::from_env()?.mnist(Split::Train)?;
/// assert_eq!((train.len(), train.input_shape()), (60_000, [1, 28, 28].as_slice()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Hub {
    endpoint: String,
    cache: Cache,
}

impl Hub {
    /// The hub at `HF_ENDPOINT`, or the public one, with its cache under `HF_HOME`, or in the home folder.
    ///
    /// # Errors
    /// When there is neither `HF_HOME` nor a home folder.
    pub fn from_env() -> Result<Self> {
        // hf-hub would panic.
        if env::var("HF_HOME").is_err() && env::home_dir().is_none() {
            return Err(Error::Value {
                op: "Hub",
                argument: "HF_HOME",
                expected: "set where there is no home folder",
                value: "nothing".to_owned(),
            });
        }
        let endpoint = env::var("HF_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty());
        let endpoint = endpoint.unwrap_or_else(|| ENDPOINT.to_owned());
        Ok(Self::new(endpoint, Cache::from_env().path()))
    }

    /// The hub at `endpoint`, such as `https://huggingface.co`, with its cache in the folder `cache_dir`.
    pub fn new(endpoint: impl AsRef<str>, cache_dir: impl Into<PathBuf>) -> Self {
        let endpoint = endpoint.as_ref().trim_end_matches('/').to_owned();
        Self { endpoint, cache: Cache::new(cache_dir.into()) }
    }

    /// One split of MNIST: 60,000 pictures to train on, 10,000 to test with, `[1, 28, 28]`, classes 0 to 9.
    ///
    /// Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits", as `ylecun/mnist` on the hub holds it.
    ///
    /// # Errors
    /// When the file is neither in the cache nor to be had from the hub, or does not hold what it should.
    pub fn mnist(&self, split: Split) -> Result<InMemoryDataset> {
        self.table(MNIST, split)
    }

    /// One split of Fashion-MNIST: 60,000 pictures of clothes to train on, 10,000 to test with, `[1, 28, 28]`, classes 0 to 9.
    ///
    /// Source: Xiao, Rasul, Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms",
    /// 2017, as `zalando-datasets/fashion_mnist` on the hub holds it.
    ///
    /// # Errors
    /// When the file is neither in the cache nor to be had from the hub, or does not hold what it should.
    pub fn fashion_mnist(&self, split: Split) -> Result<InMemoryDataset> {
        self.table(FASHION_MNIST, split)
    }

    /// One split of CIFAR-10: 50,000 pictures to train on, 10,000 to test with, `[3, 32, 32]`, classes 0 to 9.
    ///
    /// Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009, as `uoft-cs/cifar10` on the hub
    /// holds it.
    ///
    /// # Errors
    /// When the file is neither in the cache nor to be had from the hub, or does not hold what it should.
    pub fn cifar10(&self, split: Split) -> Result<InMemoryDataset> {
        self.table(CIFAR10, split)
    }

    fn table(&self, table: Table, split: Split) -> Result<InMemoryDataset> {
        let part = match split {
            Split::Train => "train",
            Split::Test => "test",
        };
        let file = format!("{}/{part}-00000-of-00001.parquet", table.folder);
        image_table::read(&self.fetch(table.repo, &file)?, table.columns)
    }

    fn fetch(&self, repo: &'static str, file: &str) -> Result<PathBuf> {
        let cached = Repo::dataset(repo.to_owned());
        if let Some(path) = self.cache.repo(cached.clone()).get(file) {
            return Ok(path);
        }
        let builder = ApiBuilder::from_cache(self.cache.clone()).with_endpoint(self.endpoint.clone());
        let fetched = builder.with_progress(false).build().and_then(|api| {
            let remote = api.repo(cached.clone());
            let metadata = api.metadata(&remote.url(file))?;
            let blob = self.cache.repo(cached).blob_path(metadata.etag());
            download(&remote, file, &blob, metadata.size() as u64)
        });
        fetched.map_err(|source| Error::Hub {
            endpoint: self.endpoint.clone(),
            repo,
            file: file.to_owned(),
            source: source.into(),
        })
    }
}

/// Downloads to the cache, or goes on with a download that was cut, and makes sure that nothing but a whole file stays.
fn download(remote: &ApiRepo, file: &str, blob: &Path, size: u64) -> Result<PathBuf, ApiError> {
    let part = blob.with_extension("part");
    if length(&part).is_some_and(|length| length >= size) {
        // hf-hub would ask for the bytes from its end on, which no server has.
        fs::remove_file(&part)?;
    }
    let path = remote.download(file)?;
    let found = length(&path).unwrap_or(0);
    if found == size {
        return Ok(path);
    }
    // hf-hub takes a body without a length as whole when the connection ends.
    for damaged in [path.as_path(), blob] {
        if damaged.symlink_metadata().is_ok() {
            fs::remove_file(damaged)?;
        }
    }
    Err(io::Error::other(format!("{found} bytes arrived where {size} were announced")).into())
}

fn length(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.len())
}
