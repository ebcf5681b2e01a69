"""What happens, replicate by replicate, when the methods run? Monte Carlo on problems with known answers."""
