"""How a network is learnt: tasks, its quantised form in PyTorch and C++, and training."""
