"""The prompt: context, conversation, and what stands for its older part."""
