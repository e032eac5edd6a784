//! Running a program inside a running container.
