use super::*;

#[test]
fn many_may_open_one_new_file_at_once() {
    for _ in 0..30 {
        let folder = tempfile::tempdir().unwrap();
        let settings = SqliteSettings::at(folder.path().join("store.db"));
        std::thread::scope(|scope| {
            let opened: Vec<_> =
                (0..8).map(|_| scope.spawn(|| SqliteStore::open(&settings).map(drop))).collect();
            for thread in opened {
                thread.join().unwrap().unwrap();
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_sqlite_store_keeps_the_laws() {
    let folder = tempfile::tempdir().unwrap();
    let made = std::sync::atomic::AtomicU32::new(0);
    crate::session::contract::all(async || {
        let name = made.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string();
        let store = SqliteStore::open(&SqliteSettings::at(folder.path().join(name))).unwrap();
        std::sync::Arc::new(store) as std::sync::Arc<dyn SessionStore>
    })
    .await;
}
