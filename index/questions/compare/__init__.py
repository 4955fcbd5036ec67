"""The parts of `compare`, whose question is asked where its charts are made."""
