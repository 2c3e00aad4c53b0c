"""From a folder of pictures to a first answer in minutes; it calls the other rooms in turn."""
