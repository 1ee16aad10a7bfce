import sys; print("reports", sys.argv[1:])
