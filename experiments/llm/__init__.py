"""The sections of the reference trainer that are not in train_llm.py itself."""
