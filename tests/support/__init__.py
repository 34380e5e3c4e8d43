"""What the tests are made with: real registries, a permissive one, a token server, a faulty proxy, images, a judge.

Import the modules directly. Nothing here mocks the product; everything speaks real HTTP on the loopback.
"""
