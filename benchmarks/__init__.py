"""What is done to each neuron on each dataset: prepare, train, measure, report; one command a stage."""
