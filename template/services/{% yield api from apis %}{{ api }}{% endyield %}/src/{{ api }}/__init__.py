"""An HTTP API: stores questions, puts them on the queue and shows the answers."""
