//! Skills: the bank, retrieval, and the teacher's privileged context.
