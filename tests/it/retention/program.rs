//! Retention as the program does it: by command, by configuration, killed on the way.
