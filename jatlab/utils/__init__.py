"""What every part of the lab needs: files, the machine, worker processes, checks."""
