"""Runs the unit tests of one folder and counts them in one line: `python3 -c ... FOLDER`."""

import sys
import unittest

suite = unittest.defaultTestLoader.discover(sys.argv[1], top_level_dir=sys.argv[1])
result = unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(suite)
# A failing subtest is counted too, so there may be more failures than tests.
failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
passed = max(result.testsRun - failed - len(result.skipped), 0)
print(f"python tests: {passed} passed, {failed} failed, {len(result.skipped)} skipped")
if result.testsRun == 0:
    sys.exit(f"no tests were found in {sys.argv[1]}: they are files named test*.py")
sys.exit(0 if result.wasSuccessful() else 1)
