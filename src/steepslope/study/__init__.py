"""What oracles gain over many data sets: ``steepslope reproduce evidence``. Nothing but ``cli`` imports this.

``cifar_resnets`` are nets whose weights are public.
"""
