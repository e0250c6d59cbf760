//! The SQL that makes log.db, numbered, checksummed, never edited once released.

/// One step from a version of log.db to the next.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// The version that it leads to, from 1.
    pub version: u32,
    /// A short name, as in its file's.
    pub name: &'static str,
    /// The statements.
    pub sql: &'static str,
    /// CRC-32C of the statements when they were released: an edit fails a test.
    pub crc: u32,
}

/// Every migration, in order.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "log",
        sql: include_str!("../migrations/0001_log.sql"),
        crc: 1_291_812_174,
    },
    Migration {
        version: 2,
        name: "archive",
        sql: include_str!("../migrations/0002_archive.sql"),
        crc: 1_681_582_578,
    },
];
