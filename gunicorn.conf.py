"""What gunicorn must know wherever it is started from this folder; the rest stands in its command."""

#: Partners send a header of this name, and gunicorn drops names with an underscore: a proxy may have vouched for another spelling.
#: Nothing that a proxy sets is called so. Taken from those whom FORWARDED_ALLOW_IPS trusts.
forwarder_headers = "CLIENT_CODE"
