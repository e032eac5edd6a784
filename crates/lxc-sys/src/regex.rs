//! POSIX extended regular expressions (regcomp(3)).
