"""From adapters to what others open: merged models, files of llama.cpp, cards, the Hub."""
