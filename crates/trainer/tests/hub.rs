//! Fetching from the hub, against a server on this machine that speaks the hub's routes and misbehaves on request.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Cursor, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::{properties::WriterProperties, writer::SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use taper_trainer::data::{Dataset, InMemoryDataset, hub::Hub, mnist::Split};
use taper_trainer::{Error, Result};

const HEIGHT: u32 = 3;
const WIDTH: u32 = 5;
const LABELS: [i64; 4] = [3, 0, 9, 7];
const FILE: &str = "mnist/train-00000-of-00001.parquet";
const ROUTE: &str = "/datasets/ylecun/mnist/resolve/main/mnist/train-00000-of-00001.parquet";
const COMMIT: &str = "77f3279092a1c1579b2250db8eafed0ad422088c";
const ETAG: &str = "8f4a9e7c0d1b2a3948576a6b7c8d9e0f11223344556677889900aabbccddeeff";

fn pixels(index: usize) -> Vec<u8> {
    (0..(HEIGHT * WIDTH) as usize).map(|place| (index * 50 + place * 3) as u8).collect()
}

fn png(pixels: &[u8], width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    PngEncoder::new(&mut bytes).write_image(pixels, width, height, ExtendedColorType::L8).unwrap();
    bytes.into_inner()
}

fn table(pictures: &[Vec<u8>], labels: &[i64]) -> Vec<u8> {
    table_of("image", pictures, labels)
}

/// A table as the `datasets` library writes it.
fn table_of(column: &str, pictures: &[Vec<u8>], labels: &[i64]) -> Vec<u8> {
    let schema = format!(
        "message schema {{
            OPTIONAL GROUP {column} {{ OPTIONAL BYTE_ARRAY bytes; OPTIONAL BYTE_ARRAY path (UTF8); }}
            OPTIONAL INT64 label;
        }}"
    );
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(Compression::SNAPPY).build());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let pictures: Vec<ByteArray> = pictures.iter().map(|picture| picture.clone().into()).collect();
    let paths: Vec<ByteArray> = (0..pictures.len()).map(|index| format!("{index}.png").as_str().into()).collect();
    for values in [pictures, paths] {
        let mut column = group.next_column().unwrap().unwrap();
        let levels = vec![2; values.len()];
        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(labels, Some(&vec![1; labels.len()]), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

fn good_table() -> Vec<u8> {
    let pictures: Vec<Vec<u8>> = (0..LABELS.len()).map(|index| png(&pixels(index), WIDTH, HEIGHT)).collect();
    table(&pictures, &LABELS)
}

fn check_content(dataset: &InMemoryDataset) {
    assert_eq!(dataset.input_shape(), [1, HEIGHT as usize, WIDTH as usize]);
    assert_eq!(dataset.targets(), LABELS.map(|label| label as u32));
    for index in 0..LABELS.len() {
        let expected: Vec<f32> = pixels(index).iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
        assert_eq!(dataset.get(index).unwrap().input, expected);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Honest,
    NotFound,
    /// Closes the connection in the middle of a body whose length it has announced.
    Cut,
    /// The same with a body that ends where the connection does.
    CutWithoutLength,
    /// Sends all of a file of which the end was asked for.
    DeafToRanges,
}

struct Server {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(content: Vec<u8>, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, stopped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stop) = (Arc::clone(&requests), Arc::clone(&stopped));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                answer(&stream.unwrap(), address, &content, manner);
            }
        });
        Self { address, requests, stopped, thread: Some(thread) }
    }

    fn hub(&self, cache: &Path) -> Hub {
        Hub::new(format!("http://{}/", self.address), cache)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        self.thread.take().unwrap().join().unwrap();
    }
}

/// One exchange: the hub sends a file's name on to where its bytes lie, as the real one does for large files.
fn answer(mut stream: &TcpStream, address: SocketAddr, content: &[u8], manner: Manner) {
    let head: Vec<String> =
        BufReader::new(stream).lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
    let path = head[0].split(' ').nth(1).unwrap();
    let range = head.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    if manner == Manner::NotFound || (path != ROUTE && path != "/blob") {
        write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        return;
    }
    if path == ROUTE {
        let names = format!("X-Repo-Commit: {COMMIT}\r\nX-Linked-ETag: \"{ETAG}\"\r\nETag: \"other\"");
        let to = format!("Location: http://{address}/blob\r\nContent-Length: 0\r\nConnection: close");
        write!(stream, "HTTP/1.1 302 Found\r\n{names}\r\n{to}\r\n\r\n").unwrap();
        return;
    }
    let range = range.unwrap();
    let (start, end) = range.split_once('-').unwrap();
    let start = if manner == Manner::DeafToRanges && end.is_empty() { 0 } else { start.parse().unwrap() };
    if start >= content.len() {
        write!(stream, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        return;
    }
    let last: usize = end.parse().unwrap_or(content.len() - 1);
    let body = &content[start..=last];
    let announced = format!("Content-Range: bytes {start}-{last}/{}\r\nConnection: close", content.len());
    let length = format!("Content-Length: {}\r\n", body.len());
    let probe = body.len() == 1;
    let (length, sent) = match manner {
        Manner::Cut if !probe => (length.as_str(), body.len() / 2),
        Manner::CutWithoutLength if !probe => ("", body.len() / 2),
        _ => (length.as_str(), body.len()),
    };
    write!(stream, "HTTP/1.1 206 Partial Content\r\n{length}{announced}\r\n\r\n").unwrap();
    stream.write_all(&body[..sent]).unwrap();
}

fn refusal(result: Result<InMemoryDataset>) -> (Error, String) {
    let error = result.expect_err("must be refused");
    let message = error.to_string();
    assert!(!message.contains('\n'), "{message}");
    (error, message)
}

/// A cache that holds `content` as the file of MNIST.
fn filled_cache(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    filled_cache_of("ylecun--mnist", FILE, content)
}

fn filled_cache_of(repo: &str, file: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let cache = tempfile::tempdir().unwrap();
    let repo = cache.path().join(format!("datasets--{repo}"));
    let file = repo.join("snapshots").join(COMMIT).join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::write(repo.join("refs/main"), COMMIT).unwrap();
    fs::write(&file, content).unwrap();
    (cache, file)
}

/// Reads a table that the cache already holds.
fn read(content: &[u8]) -> Result<InMemoryDataset> {
    let (cache, _) = filled_cache(content);
    Hub::new("http://127.0.0.1:1", cache.path()).mnist(Split::Train)
}

#[test]
fn a_file_is_fetched_once_and_read_without_the_server_from_then_on() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(good_table(), Manner::Honest);
    let hub = server.hub(cache.path());
    check_content(&hub.mnist(Split::Train).unwrap());
    let requests = server.requests.load(Ordering::SeqCst);
    assert!(requests > 0);
    check_content(&hub.mnist(Split::Train).unwrap());
    assert_eq!(server.requests.load(Ordering::SeqCst), requests);
    drop(server);
    check_content(&hub.mnist(Split::Train).unwrap());
}

#[test]
fn a_missing_file_says_where_it_was_looked_for() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(good_table(), Manner::NotFound);
    let (error, message) = refusal(server.hub(cache.path()).mnist(Split::Test));
    assert!(matches!(error, Error::Hub { repo: "ylecun/mnist", .. }));
    let expected = format!(
        "cannot fetch mnist/test-00000-of-00001.parquet of ylecun/mnist from http://{}: request error: http status: 404; \
         check the connection and HF_ENDPOINT",
        server.address
    );
    assert_eq!(message, expected);
}

#[test]
fn nobody_listening_is_an_error_that_names_the_address() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let (error, message) = refusal(Hub::new(format!("http://{address}"), cache.path()).mnist(Split::Train));
    assert!(matches!(error, Error::Hub { .. }));
    assert!(message.contains(&address.to_string()) && message.contains("refused"), "{message}");
    let (error, _) = refusal(Hub::new("no address", cache.path()).mnist(Split::Train));
    assert!(matches!(error, Error::Hub { .. }));
}

#[test]
fn a_cut_download_is_an_error_and_is_never_taken_for_whole() {
    for cut in [Manner::Cut, Manner::CutWithoutLength] {
        for then in [Manner::Honest, Manner::DeafToRanges] {
            let cache = tempfile::tempdir().unwrap();
            for _ in 0..2 {
                let server = Server::start(good_table(), cut);
                let (error, message) = refusal(server.hub(cache.path()).mnist(Split::Train));
                assert!(matches!(error, Error::Hub { .. }), "{message}");
            }
            let server = Server::start(good_table(), then);
            let hub = server.hub(cache.path());
            let first = hub.mnist(Split::Train);
            if then == Manner::DeafToRanges && cut == Manner::Cut {
                // The rest was asked for and the whole came: refused, and fetched afresh the next time.
                let (_, message) = refusal(first);
                assert!(message.contains("bytes arrived where"), "{message}");
                check_content(&hub.mnist(Split::Train).unwrap());
            } else {
                check_content(&first.unwrap());
            }
        }
    }
}

#[test]
fn a_download_that_ended_before_its_last_rename_is_fetched_again() {
    for surplus in [0, 7] {
        let cache = tempfile::tempdir().unwrap();
        let blobs = cache.path().join("datasets--ylecun--mnist/blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(format!("{ETAG}.part")), vec![0; good_table().len() + surplus]).unwrap();
        let server = Server::start(good_table(), Manner::Honest);
        check_content(&server.hub(cache.path()).mnist(Split::Train).unwrap());
    }
}

#[test]
fn damaged_tables_are_refused_and_name_their_file() {
    let good = good_table();
    let (cache, file) = filled_cache(&good);
    let hub = Hub::new("http://127.0.0.1:1", cache.path());
    check_content(&hub.mnist(Split::Train).unwrap());
    for end in (0..good.len()).step_by(7) {
        fs::write(&file, &good[..end]).unwrap();
        assert!(matches!(refusal(hub.mnist(Split::Train)).0, Error::Damaged { .. }));
    }
    for place in (0..good.len()).step_by(3) {
        let mut damaged = good.clone();
        damaged[place] ^= 0x55;
        fs::write(&file, damaged).unwrap();
        // Damage in a path or in statistics may go unseen; what is seen is an error, never a panic.
        if let Err(error) = hub.mnist(Split::Train) {
            assert!(matches!(error, Error::Damaged { .. } | Error::LabelOutOfRange { .. }), "{error}");
        }
    }
    fs::write(&file, "<html>log in</html>").unwrap();
    let (_, message) = refusal(hub.mnist(Split::Train));
    assert!(message.starts_with(&format!("{}: ", file.display())), "{message}");
    assert!(message.ends_with("; delete the file to fetch it again"), "{message}");
}

#[test]
fn pictures_and_labels_are_checked() {
    let picture = png(&pixels(1), WIDTH, HEIGHT);
    for label in [10, -1, i64::from(u32::MAX) + 1] {
        let (error, _) = refusal(read(&table(&[picture.clone(), picture.clone()], &[4, label])));
        let Error::LabelOutOfRange { label: found, index: 1, classes: 10, .. } = error else { panic!("{error}") };
        assert_eq!(found, label);
    }
    let turned = png(&pixels(1), HEIGHT, WIDTH);
    let (_, message) = refusal(read(&table(&[picture.clone(), turned], &[4, 5])));
    assert!(message.contains("row 1 is 3 × 5, but row 0 is 5 × 3"), "{message}");
    let (_, message) = refusal(read(&table(&[picture[..picture.len() / 2].to_vec()], &[4])));
    assert!(message.contains("row 0: "), "{message}");
    let (_, message) = refusal(read(&table(&[], &[])));
    assert!(message.contains("the table holds no row"), "{message}");
}

#[test]
fn fashion_mnist_and_cifar_lie_in_tables_of_their_own() {
    let file = "fashion_mnist/train-00000-of-00001.parquet";
    let (cache, _) = filled_cache_of("zalando-datasets--fashion_mnist", file, &good_table());
    let hub = Hub::new("http://127.0.0.1:1", cache.path());
    check_content(&hub.fashion_mnist(Split::Train).unwrap());
    let (error, _) = refusal(hub.fashion_mnist(Split::Test));
    assert!(matches!(error, Error::Hub { repo: "zalando-datasets/fashion_mnist", .. }));

    // Two pictures of 2 × 3 pixels; red, green and blue count up by ones, tens and forties.
    let (width, height) = (3, 2);
    let colours = |index: u8| -> Vec<u8> { (0..6).flat_map(|i| [i, 10 * i, 40 * i + index]).collect() };
    let picture = |index| {
        let mut bytes = Cursor::new(Vec::new());
        let encoder = PngEncoder::new(&mut bytes);
        encoder.write_image(&colours(index), width, height, ExtendedColorType::Rgb8).unwrap();
        bytes.into_inner()
    };
    let content = table_of("img", &[picture(0), picture(1)], &[9, 4]);
    let file = "plain_text/test-00000-of-00001.parquet";
    let (cache, _) = filled_cache_of("uoft-cs--cifar10", file, &content);
    let hub = Hub::new("http://127.0.0.1:1", cache.path());
    let dataset = hub.cifar10(Split::Test).unwrap();
    assert_eq!((dataset.input_shape(), dataset.targets()), ([3, 2, 3].as_slice(), [9, 4].as_slice()));
    let expected: Vec<f32> = [(0, 1), (0, 10), (1, 40)]
        .into_iter()
        .flat_map(|(offset, step)| (0..6u8).map(move |i| f32::from(step * i + offset) / 255.0))
        .collect();
    assert_eq!(dataset.get(1).unwrap().input, expected);
    let (error, _) = refusal(hub.cifar10(Split::Train));
    assert!(matches!(error, Error::Hub { repo: "uoft-cs/cifar10", .. }));
    let (cache, _) = filled_cache_of("uoft-cs--cifar10", file, &good_table());
    let (_, message) = refusal(Hub::new("http://127.0.0.1:1", cache.path()).cifar10(Split::Test));
    assert!(message.contains("row 0: there is no struct `img`"), "{message}");
}
