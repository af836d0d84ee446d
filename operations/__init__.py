"""What an operator does with an installation: fold anew, check, retrain, simulate. ``cli`` parses and prints."""
