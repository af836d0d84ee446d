"""What is kept of one visitor: keys, states, sessions, decay, words on purposes."""
