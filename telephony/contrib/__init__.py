"""For use with other packages; each module needs the extra that it names."""
