"""DTPnet in PyTorch. Only `backends/torch.py` and `training/` import this room."""
