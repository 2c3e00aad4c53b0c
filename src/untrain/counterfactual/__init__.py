"""What would the model be without these images? Forget sets, designs, noise, paired training."""
