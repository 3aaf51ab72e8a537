"""What a network is: cells, widths, types, weights, the schedule, and exact integers of it all."""
