//! Images in, augmented views out: the same views for the same seed, whatever the threads
