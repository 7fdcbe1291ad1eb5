"""LightningModules: a base class, one module for pretraining and one for fine-tuning."""
