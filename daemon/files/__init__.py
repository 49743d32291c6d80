"""Where the files of messages are: a folder, or a store that several nodes share."""
