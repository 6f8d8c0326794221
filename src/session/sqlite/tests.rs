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
