"""What the model is told: the context, the conversation, and what stands for its older part."""
