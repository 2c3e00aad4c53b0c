"""What a run or a benchmark found, in the files of other libraries and sites."""
