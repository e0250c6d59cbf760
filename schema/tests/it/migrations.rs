//! Migrations: numbered without a gap, and never edited once released.

use scrollback_schema::migrations::MIGRATIONS;

#[test]
fn migrations_are_numbered_without_a_gap_and_named_as_their_files() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for (i, migration) in MIGRATIONS.iter().enumerate() {
        assert_eq!(migration.version as usize, i + 1);
        let path = dir.join(format!("{:04}_{}.sql", migration.version, migration.name));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), migration.sql, "{}", path.display());
    }
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), MIGRATIONS.len());
}

#[test]
fn a_released_migration_is_what_it_was() {
    for migration in MIGRATIONS {
        assert_eq!(
            crc32c::crc32c(migration.sql.as_bytes()),
            migration.crc,
            "migration {} was edited: undo it and add a new one, or, if no release has it yet, \
             write the left number into schema/src/migrations.rs",
            migration.version
        );
    }
}
