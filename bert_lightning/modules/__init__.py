"""LightningModules: one base, one for pretraining and one for fine-tuning."""
