//! Starting a container: arm, clone, shake hands, undo.
