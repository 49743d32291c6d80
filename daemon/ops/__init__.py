"""Operations: commands, checks, maintenance, and the operations of API and dashboard."""
