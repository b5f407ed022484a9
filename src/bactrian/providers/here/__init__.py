"""What the providers that compute on this machine share: weights, a thread, batches, seeds.

Knows no task: what is asked and what is answered is the business of each provider.
"""
