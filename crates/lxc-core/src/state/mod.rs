//! Container states, and the two channels that announce changes of them.
