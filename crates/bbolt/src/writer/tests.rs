//! What cannot be reached from outside in reasonable time.

use std::io::Cursor;

use super::{BulkWriter, WriteError};
use crate::limits::PAGES_MAX;

#[test]
fn f49_a_file_of_too_many_pages_is_refused() {
    for (pages_left, fits) in [(2, true), (1, false)] {
        let mut writer = BulkWriter::new(Cursor::new(Vec::new()), 1_024).unwrap();
        let mut bucket = writer.bucket(b"key").unwrap();
        bucket.database.pages.set_next(PAGES_MAX - pages_left);
        bucket.push(b"k", &[1; 800]).unwrap();
        bucket.end().unwrap();
        let finished = writer.finish();
        if fits {
            assert_eq!(finished.unwrap().1.pages, PAGES_MAX);
        } else {
            assert!(matches!(finished, Err(WriteError::TooManyPages)));
        }
    }
}

#[test]
fn f49_nothing_follows_the_page_that_was_too_many() {
    let mut writer = BulkWriter::new(Cursor::new(Vec::new()), 1_024).unwrap();
    let mut bucket = writer.bucket(b"key").unwrap();
    bucket.database.pages.set_next(PAGES_MAX);
    bucket.push(b"a", &[1; 600]).unwrap();
    bucket.push(b"b", &[1; 600]).unwrap();
    assert!(matches!(bucket.push(b"c", &[1; 900]), Err(WriteError::TooManyPages)));
    assert!(matches!(bucket.push(b"c", &[1; 900]), Err(WriteError::AfterFailure)));
    assert!(matches!(bucket.end(), Err(WriteError::AfterFailure)));
}
