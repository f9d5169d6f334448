from tests.sdist import setup
setup()
